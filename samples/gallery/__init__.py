"""The calls of `docs/gallery.md`, each with one fault: `make gallery` holds them and draws them."""
