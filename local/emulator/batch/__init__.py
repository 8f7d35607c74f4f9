"""AWS Batch, with jobs as local processes: pure scheduling on one side, processes on the other."""
