"""Nouns: the types that flow between the stages. Kept empty so that importing one noun imports no other."""
