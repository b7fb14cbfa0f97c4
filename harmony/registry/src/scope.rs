//! What a call needs to be allowed to do, in the words of token servers.

use harmony_types::Repository;

/// What a call needs to be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) repository: Repository,
    pub(crate) access: Access,
    /// Mounting a blob reads the repository that has it.
    pub(crate) mount_from: Option<Repository>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Scope {
    pub(crate) fn pull(repository: Repository) -> Self {
        Self {
            repository,
            access: Access::Pull,
            mount_from: None,
        }
    }

    pub(crate) fn push(repository: Repository) -> Self {
        Self {
            repository,
            access: Access::Push,
            mount_from: None,
        }
    }

    /// The actions in the repository.
    pub(crate) fn actions(&self) -> &'static [&'static str] {
        match self.access {
            Access::Pull => &["pull"],
            Access::Push => &["pull", "push"],
        }
    }

    /// As the token server reads them.
    pub(crate) fn texts(&self) -> Vec<String> {
        let actions = self.actions().join(",");
        let mut texts = vec![format!("repository:{}:{actions}", self.repository)];
        if let Some(source) = &self.mount_from {
            texts.push(format!("repository:{source}:pull"));
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_asks_for_its_source_too() {
        let mut scope = Scope::push(Repository::parse("a/b").expect("a repository"));
        scope.mount_from = Some(Repository::parse("c").expect("a repository"));
        assert_eq!(
            scope.texts(),
            ["repository:a/b:pull,push", "repository:c:pull"]
        );
    }
}
