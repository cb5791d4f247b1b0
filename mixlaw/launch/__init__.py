"""Where runs are trained: in this process, or in worker processes of this machine."""
