"""The media workers: extract judges a film and plans the job, recompose builds the result."""
