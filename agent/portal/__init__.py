"""The portal: dashboard, sign-in, and the gateway between browsers and the broker."""
