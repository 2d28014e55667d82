"""Everything durable: studies, journal, calls, ledger, leases, legacy, Optuna trials.

The only home of SQLAlchemy and, with the baselines, of Optuna.
"""
