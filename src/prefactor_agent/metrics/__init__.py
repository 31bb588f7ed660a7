"""Totals over many calls: which series there are, and what each span that ends adds to them."""
