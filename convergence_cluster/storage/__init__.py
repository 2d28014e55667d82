"""Everything durable: studies, journal, calls, ledger, leases, legacy, Optuna trials.

The only home of SQLAlchemy and, with the baselines, of Optuna. Reads and writes one database;
takes time as an argument. Nothing here decides anything, and nothing here logs.
"""
