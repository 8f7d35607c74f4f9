"""Records how a job ended and writes its e-mail."""
