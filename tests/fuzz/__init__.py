"""What reads bytes that others wrote, as fuzz targets: each raises what its room promises, and nothing else."""
