"""Optuna's own tables of trials, as far as we write them. Optuna creates them; we never do.

Source: optuna 5.0, `optuna.storages._rdb.models`.
"""

from optuna.trial import TrialState
from sqlalchemy import Column, DateTime, Double, Enum, Integer, MetaData, String, Table, Text

_theirs = MetaData()
trials = Table(
    "trials",
    _theirs,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
    Column("state", Enum(TrialState)),
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)
params = Table(
    "trial_params",
    _theirs,
    Column("param_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("param_name", String),
    Column("param_value", Double),
    Column("distribution_json", Text),
)
values = Table(
    "trial_values",
    _theirs,
    Column("trial_value_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("objective", Integer),
    Column("value", Double),
    Column("value_type", Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype")),
)
intermediate_values = Table(
    "trial_intermediate_values",
    _theirs,
    Column("trial_intermediate_value_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("step", Integer),
    Column("intermediate_value", Double),
    Column("intermediate_value_type", Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")),
)
user_attributes = Table(
    "trial_user_attributes",
    _theirs,
    Column("trial_user_attribute_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("key", String),
    Column("value_json", Text),
)
