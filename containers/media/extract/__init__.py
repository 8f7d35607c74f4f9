"""Extract: judge a film, index it, set aside what is not video, plan the job."""
