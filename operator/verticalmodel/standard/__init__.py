"""The editions of the standard: data, its loader and schema."""
