//! hello-app
