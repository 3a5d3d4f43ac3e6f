"""Fails while it is imported, two modules deep."""
import deep.fails
