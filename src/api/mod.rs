//! The JSON bodies of every HTTP endpoint, once, for daemons, client, tools and admin page.
