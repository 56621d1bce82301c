"""One settings module per database under test, with no fallback between them."""
