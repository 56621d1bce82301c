"""As a project would have them, and as the page shows them."""
