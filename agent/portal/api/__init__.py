"""The portal's HTTP routes: what each needs stands beside it, and one place enforces it."""
