"""The `society`, `weave` and `agent` sections: read and checked, not acted on yet."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from convergence_cluster.spec.section import Count, EnvironmentName, NonNegative, Section, Share, Text


class SocietyAgent(Section):
    """One role of the society."""

    count: Count = 1
    """How many."""
    strategy: str = "random"
    """How it decides."""
    memory: tuple[str, ...] = ()
    """What it remembers."""
    description: str | None = None
    """For readers."""


class Collaboration(Section):
    """How agents work together."""

    enabled: bool = True
    """Whether they do."""
    trust_threshold: Share = 0.7
    """Trust from which a proposal is taken."""
    strategy: str | None = None
    """For example debate."""


class Learning(Section):
    """What agents learn."""

    rlp_enabled: bool = True
    """Proposals reasoned by a model."""
    sao_enabled: bool = True
    """Training data made by a model."""


class SocietyStorage(Section):
    """Where agents keep what they learned."""

    backend: Literal["multi", "sqlite", "file", "memory", "convex"] = "multi"
    """Kind of storage."""
    path: Text = "./data/optimization"
    """Folder."""
    cache_enabled: bool = True
    """Whether to keep a copy in memory."""


class WeaveSection(Section):
    """Tracing with Weights & Biases Weave."""

    enabled: bool = True
    """Whether to trace."""
    organization: Text | None = None
    """Organization; else of the environment."""
    project: Text | None = None
    """Project; else of the environment."""


class SocietyLlm(Section):
    """The model that agents think with."""

    model: Text = "gemini/gemini-2.0-flash-exp"
    """Name as provider/model."""
    api_key_env: EnvironmentName = "GEMINI_API_KEY"
    """Environment variable that holds its key."""
    temperature: NonNegative = 0.7
    """Sampling temperature."""
    max_tokens: Count = 1000
    """Longest answer."""


class SocietySection(Section):
    """Agents that help with the search."""

    enabled: bool = False
    """Whether they do."""
    auto_generate_agents: bool = True
    """Whether roles are made up."""
    agents: Mapping[str, SocietyAgent] = Field(default_factory=dict)
    """Roles by name."""
    collaboration: Collaboration = Field(default_factory=Collaboration)
    """How they work together."""
    learning: Learning = Field(default_factory=Learning)
    """What they learn."""
    storage: SocietyStorage = Field(default_factory=SocietyStorage)
    """Where they keep it."""
    weave: WeaveSection | None = None
    """As `weave` at the top of the file."""
    llm: SocietyLlm = Field(default_factory=SocietyLlm)
    """The model they think with."""


class RedditAuth(Section):
    """Access to Reddit."""

    client_id_env: EnvironmentName | None = None
    """Environment variable that holds the client id."""
    client_secret_env: EnvironmentName | None = None
    """Environment variable that holds the client secret."""
    user_agent: str | None = None
    """User agent to send."""
    username_env: EnvironmentName | None = None
    """Environment variable that holds the user name."""
    password_env: EnvironmentName | None = None
    """Environment variable that holds the password."""


class DiscordAuth(Section):
    """Access to Discord."""

    bot_token_env: EnvironmentName = "DISCORD_BOT_TOKEN"  # noqa: S105 (the name of a variable)
    """Environment variable that holds the bot's token."""


class AgentModel(Section):
    """Where one model of the agent is."""

    endpoint: Text
    """URL."""
    description: str | None = None
    """For readers."""


class AgentSection(Section):
    """Agents as the thing to optimize."""

    reddit_auth: RedditAuth | None = None
    """Access to Reddit."""
    discord_auth: DiscordAuth | None = None
    """Access to Discord."""
    models: Mapping[str, AgentModel] = Field(default_factory=dict)
    """Models by name."""
