"""C as a caller sees it: types and their sizes, prototypes, call expressions."""
