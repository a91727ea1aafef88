"""The vocabulary: kinds as frozen pydantic types, names, conditions, and the compiler to structural CRDs."""
