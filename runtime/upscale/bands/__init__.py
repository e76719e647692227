"""Bands of one large image: rows of tiles that are made alone, in any order and by any process, and joined without a trace."""
