"""That every permission is needed: walks through success and failure on the embedded AWS."""
