"""The official plugins, one module each: `PLUGIN` says all there is to know of one. What stands here is in the catalogue."""
