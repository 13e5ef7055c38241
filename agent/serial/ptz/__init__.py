"""A head that pans, tilts and zooms: Pelco-D, Pelco-P, VISCA; and that it never runs away."""
