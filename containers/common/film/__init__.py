"""Films opened, decoded, concealed and deinterlaced: the same pictures in every worker."""
