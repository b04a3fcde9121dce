"""The binary interface of symbols: what a caller and a callee, or two users of one variable, must agree on."""
