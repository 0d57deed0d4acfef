"""Ranges and the random draws from them, stratified, as numbers. No files and no SUMO here."""
