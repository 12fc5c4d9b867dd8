//! Which topics a request is about.

/// One topic or all. The name may be anything: what is no topic selects none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// `*`
    All,
    /// Any other text.
    Named(&'a str),
}

impl<'a> Selection<'a> {
    /// Reads a request's word for it.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        if text == "*" { Self::All } else { Self::Named(text) }
    }
}
