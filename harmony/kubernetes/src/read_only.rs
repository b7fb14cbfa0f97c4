//! The transport for planning: a layer below the client that refuses every request that could write.

use std::task::{Context as TaskContext, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{Method, Request};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

/// Lets reads and dry runs through; no other request leaves this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadOnlyLayer;

impl<S> Layer<S> for ReadOnlyLayer {
    type Service = ReadOnly<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReadOnly { inner }
    }
}

/// See [`ReadOnlyLayer`].
#[derive(Debug, Clone)]
pub(crate) struct ReadOnly<S> {
    inner: S,
}

/// Planning tried to write: a bug of the adapter, caught before it did harm.
#[derive(Debug, thiserror::Error)]
#[error("refused to send `{method} {path}` while planning")]
pub(crate) struct WriteRefused {
    method: Method,
    path: String,
}

impl<S> Service<Request<Body>> for ReadOnly<S>
where
    S: Service<Request<Body>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<Ready<Result<S::Response, BoxError>>, MapIntoBox<S::Future>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_read(&request) {
            Either::Right(MapIntoBox(Box::pin(self.inner.call(request))))
        } else {
            let refused = WriteRefused {
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
            };
            Either::Left(ready(Err(refused.into())))
        }
    }
}

/// A future whose error is boxed.
pub(crate) struct MapIntoBox<F>(std::pin::Pin<Box<F>>);

impl<F, T, E> Future for MapIntoBox<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Self::Output> {
        self.0.as_mut().poll(context).map_err(Into::into)
    }
}

/// Questions who the user is and what the user may do. POSTs by their form, but nothing is stored.
const QUESTIONS: [&str; 2] = [
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
];

/// A GET or HEAD of an object, a dry run of anything, or a question about the user.
fn is_read<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    match *request.method() {
        Method::GET | Method::HEAD => !acts(uri.path()),
        Method::POST if QUESTIONS.contains(&uri.path()) => true,
        _ => {
            let mut pairs = uri.query().unwrap_or_default().split('&');
            pairs.any(|pair| pair == "dryRun=All")
        }
    }
}

/// These subresources are GETs that act inside a pod or behind a Service.
fn acts(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    // `/api/v1/namespaces/<namespace>/pods/<name>/exec` or `/api/v1/nodes/<name>/proxy`
    let at = if parts.get(3) == Some(&"namespaces") && parts.len() > 6 {
        7
    } else {
        5
    };
    let subresource = parts.get(at).copied().unwrap_or_default();
    matches!(subresource, "exec" | "attach" | "portforward" | "proxy")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// The server that a request reaches if it passes.
    struct Server(usize);

    impl Service<Request<Body>> for Server {
        type Response = ();
        type Error = Infallible;
        type Future = Ready<Result<(), Infallible>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            self.0 += 1;
            ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_write_never_reaches_the_server() {
        let mut guarded = ReadOnlyLayer.layer(Server(0));
        let mut send = async |method: Method| {
            let request = Request::builder()
                .method(method)
                .uri("/api/v1/namespaces/a");
            guarded.call(request.body(Body::empty()).unwrap()).await
        };
        send(Method::GET).await.unwrap();
        let refused = send(Method::DELETE).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "refused to send `DELETE /api/v1/namespaces/a` while planning"
        );
        assert_eq!(guarded.inner.0, 1);
    }

    fn allowed(method: Method, uri: &str) -> bool {
        is_read(&Request::builder().method(method).uri(uri).body(()).unwrap())
    }

    #[test]
    fn reads_and_dry_runs_pass_and_nothing_else() {
        let configmap = "/api/v1/namespaces/a/configmaps/b";
        assert!(allowed(Method::GET, configmap));
        assert!(allowed(Method::HEAD, configmap));
        assert!(allowed(
            Method::PATCH,
            &format!("{configmap}?dryRun=All&fieldManager=harmony")
        ));
        assert!(allowed(
            Method::GET,
            "/api/v1/namespaces/exec/pods/proxy/log"
        ));
        for question in QUESTIONS {
            assert!(allowed(Method::POST, question));
            assert!(!allowed(Method::PUT, question));
            assert!(!allowed(Method::POST, &format!("{question}/x")));
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(!allowed(method.clone(), configmap), "{method}");
            assert!(
                !allowed(method.clone(), &format!("{configmap}?dryRun=AllX")),
                "{method}"
            );
        }
        assert!(!allowed(
            Method::GET,
            "/api/v1/namespaces/a/pods/b/exec?command=rm"
        ));
        assert!(!allowed(
            Method::GET,
            "/api/v1/namespaces/a/pods/b/portforward"
        ));
        assert!(!allowed(
            Method::GET,
            "/api/v1/namespaces/a/services/b/proxy/"
        ));
    }
}
