//! Why the dynamic loader could not start the kernel, from what it wrote to the log.

use std::fmt;

use crate::job::LIBTORCH_VERSION;

/// A kernel that the dynamic loader could not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadFailure {
    /// A library is in no folder that is searched.
    NotFound {
        /// Its file name.
        library: String,
    },
    /// A library is there and cannot be loaded.
    Unreadable {
        /// Its file name or path.
        library: String,
        /// The loader's reason.
        reason: String,
    },
    /// A library has another version than the kernel was built with.
    Symbol {
        /// The symbol that it lacks.
        symbol: String,
    },
    /// The C or C++ library of this system is older than that of the system where the kernel was built.
    System {
        /// The version that is needed, such as `GLIBC_2.38`.
        version: String,
    },
}

impl fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { library } => write!(f, "`{library}` was not found"),
            Self::Unreadable { library, reason } => write!(f, "`{library}`: {reason}"),
            Self::Symbol { symbol } => write!(
                f,
                "a library of another version was found, which lacks the symbol `{symbol}`"
            ),
            Self::System { version } => write!(
                f,
                "it needs `{version}`, and the C or C++ library of this system is older"
            ),
        }
    }
}

impl LoadFailure {
    /// The loader's failure in the last lines of a log, if there is one.
    pub(super) fn find(log: &[String]) -> Option<Self> {
        log.iter().rev().find_map(|line| Self::parse(line))
    }

    fn parse(line: &str) -> Option<Self> {
        if let Some((_, rest)) = line.split_once(": error while loading shared libraries: ") {
            let (library, reason) = rest.split_once(": ")?;
            let library = library.to_owned();
            return Some(if reason.starts_with("cannot open shared object file") {
                Self::NotFound { library }
            } else {
                let reason = reason.to_owned();
                Self::Unreadable { library, reason }
            });
        }
        if let Some((_, rest)) = line.split_once(": symbol lookup error: ") {
            let (_, symbol) = rest.split_once("undefined symbol: ")?;
            let symbol = symbol.split([',', ' ']).next().unwrap_or(symbol).to_owned();
            return Some(Self::Symbol { symbol });
        }
        let (_, rest) = line.split_once(": version `")?;
        let (version, rest) = rest.split_once('\'')?;
        rest.starts_with(" not found (required by ")
            .then(|| Self::System {
                version: version.to_owned(),
            })
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        let build = "build tinyrun on this machine with `make build`";
        match self {
            Self::System { .. } => build.to_owned(),
            _ => format!(
                "set LIBTORCH to the folder of libtorch {LIBTORCH_VERSION} (it holds `lib`; for pip's PyTorch, \
                 the folder `torch` in `site-packages`), or {build}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_messages_are_told_apart() {
        let find = |line: &str| LoadFailure::find(&["x".to_owned(), line.to_owned()]);
        let library = || "libtorch_cpu".to_owned() + ".so";
        let line = format!(
            "/opt/bin/tinyrun-kernel: error while loading shared libraries: {}: cannot open shared object file: No such file or directory",
            library()
        );
        assert_eq!(
            find(&line),
            Some(LoadFailure::NotFound { library: library() })
        );
        let line = "/opt/bin/tinyrun-kernel: error while loading shared libraries: /opt/lib/libc10.so: file too short";
        assert_eq!(
            find(line).map(|found| found.to_string()).as_deref(),
            Some("`/opt/lib/libc10.so`: file too short")
        );
        let line = "/opt/bin/tinyrun-kernel: symbol lookup error: /opt/bin/tinyrun-kernel: undefined symbol: _ZN3c105ErrorC1Ev";
        let symbol = "_ZN3c105ErrorC1Ev".to_owned();
        assert_eq!(find(line), Some(LoadFailure::Symbol { symbol }));
        let line = "./tinyrun-kernel: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by ./tinyrun-kernel)";
        let version = "GLIBC_2.38".to_owned();
        assert_eq!(find(line), Some(LoadFailure::System { version }));
        assert_eq!(find("terminate called after throwing an instance"), None);
    }
}
