"""One small real call to the back end of a service, made by the control plane: asking.py says what is asked, calling.py asks it,
redacting.py makes the answer fit to be shown. It goes where the gateway would go and nowhere else."""
