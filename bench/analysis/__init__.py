"""The judge beside other tools' rules on simulated traffic: ``python -m bench.analysis``."""
