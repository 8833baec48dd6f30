"""Publication to Redis: the contract's schema 1, one Lua compare-and-set a key."""
