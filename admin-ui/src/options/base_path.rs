//! The path that everything lies below.

/// The path with a slash at its beginning, none at its end, and nothing redundant: `x//y/../z/` is `/x/z`.
///
/// # Errors
/// It holds a brace, which would be taken for a parameter.
pub(super) fn clean(path: &str) -> Result<String, String> {
    if path.contains(['{', '}']) {
        return Err(format!("--base-path ({path}) must not contain braces"));
    }
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            element => elements.push(element),
        }
    }
    Ok(format!("/{}", elements.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_cleaned() {
        for (given, cleaned) in
            [("", "/"), ("/", "/"), ("nsq", "/nsq"), ("/nsq/", "/nsq"), ("x//y/../z/", "/x/z"), ("/..", "/")]
        {
            assert_eq!(clean(given).as_deref(), Ok(cleaned), "{given}");
        }
        assert!(clean("/{x}").is_err());
    }
}
