"""Where runs are trained, and how none is lost: this process, worker processes, Ray or Slurm."""
