//! The small grammars of words in a spec.

/// `package.module:Class` (or `:function`, also nested: `:Outer.Inner`).
#[must_use]
pub fn is_import_path(text: &str) -> bool {
    let dotted = |part: &str| part.split('.').all(is_identifier);
    text.len() <= 300 && text.split_once(':').is_some_and(|(module, name)| dotted(module) && dotted(name))
}

/// A Python identifier, in ASCII.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Name (normalised as PyPI does) and version of `package==version`, extras allowed.
pub(super) fn requirement(text: &str) -> Option<(String, &str)> {
    let (package, version) = text.split_once("==")?;
    let name = match package.split_once('[') {
        Some((name, extras)) => {
            let extras = extras.strip_suffix(']')?;
            extras.split(',').all(is_package_name).then_some(name)?
        }
        None => package,
    };
    let version_letters = |byte: u8| byte.is_ascii_alphanumeric() || b".!+-_".contains(&byte);
    let is_version =
        version.starts_with(|first: char| first.is_ascii_digit()) && version.bytes().all(version_letters);
    let normal = name.to_ascii_lowercase().replace(['_', '.'], "-");
    (is_package_name(name) && is_version).then_some((normal, version))
}

fn is_package_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let at_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(inside) && at_end(text.bytes().next()) && at_end(text.bytes().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_paths() {
        for good in ["m:C", "a.b_1:C", "_a:_b", "a.b:Outer.Inner"] {
            assert!(is_import_path(good), "{good}");
        }
        for bad in ["", ":", "m:", ":C", "m", "m.C", "a..b:C", "a:b:c", "a.1b:C", "a b:C", "ä:C", "../m:C"] {
            assert!(!is_import_path(bad), "{bad}");
        }
    }

    #[test]
    fn requirements_are_pinned_versions_only() {
        assert_eq!(requirement("Pillow==11.0.0"), Some(("pillow".into(), "11.0.0")));
        assert_eq!(requirement("a_b.c[x,y-z]==1!2.0rc1+cpu"), Some(("a-b-c".into(), "1!2.0rc1+cpu")));
        for bad in [
            "pillow",
            "pillow>=1",
            "pillow==",
            "==1",
            "pillow==*",
            "pillow==1.*",
            "pillow == 1",
            "-e .",
            "a==1 --hash=x",
            "a @ file:///x",
            "git+https://x",
            "a==1; python_version>'3'",
            "a[==1",
            "a[]==1",
            "-r==1",
            "a==1\n-r x",
        ] {
            assert_eq!(requirement(bad), None, "{bad}");
        }
    }
}
