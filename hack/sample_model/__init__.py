"""The sample model: breast-cancer screening from measurements of cell nuclei, trained and exported by one command."""
