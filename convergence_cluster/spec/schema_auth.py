"""The `api.auth` and `api.tls` sections: as whom calls are made. Names of secrets, never a secret."""

from typing import Literal

from pydantic import AliasChoices, Field, model_validator

from convergence_cluster.spec.section import EnvironmentName, Section, Text, at


class Auth(Section):
    """How calls are authorized. Only names of environment variables stand here, never a key."""

    type: Literal["none", "bearer", "api_key", "basic", "oauth"] = "none"
    """`bearer` sends `Authorization: Bearer <key>`, `api_key` sends the key in `header_name`, `basic` sends user name
    and password, `oauth` fetches a token by client credentials."""
    token_env: EnvironmentName | None = None
    """Environment variable that holds the key. Required for `bearer` and `api_key`."""
    header_name: Text = Field(default="x-api-key", validation_alias=AliasChoices("header_name", "api_key_header"))
    """Header that carries the key of `api_key`."""
    username: Text | None = None
    """User name of `basic`."""
    username_env: EnvironmentName | None = None
    """Environment variable that holds the user name of `basic`."""
    password_env: EnvironmentName | None = None
    """Environment variable that holds the password of `basic`."""
    token_url: Text | None = None
    """Where `oauth` fetches its token."""
    client_id_env: EnvironmentName | None = None
    """Environment variable that holds the client id of `oauth`."""
    client_secret_env: EnvironmentName | None = None
    """Environment variable that holds the client secret of `oauth`."""
    scope: Text | None = None
    """Scope that `oauth` asks for."""

    @model_validator(mode="after")
    def _is_complete(self) -> "Auth":
        if self.type in {"bearer", "api_key"} and self.token_env is None:
            raise at("token_env", f"required for type {self.type}: the environment variable that holds the key")
        if self.type == "basic":
            if self.username is None and self.username_env is None:
                raise at("username", "required for type basic (or username_env)")
            if self.password_env is None and self.token_env is None:
                raise at("password_env", "required for type basic: the environment variable that holds the password")
        if self.type == "oauth" and self.token_env is None:
            for key in ("token_url", "client_id_env", "client_secret_env"):
                if getattr(self, key) is None:
                    raise at(key, "required for type oauth (or token_env for a token that you fetched yourself)")
        return self

    def environment_names(self) -> tuple[str, ...]:
        """Return the environment variables that calls need, in the order of the keys."""
        needed = {
            "none": (),
            "bearer": (self.token_env,),
            "api_key": (self.token_env,),
            "basic": (self.username_env if self.username is None else None, self.password_env or self.token_env),
            "oauth": (self.token_env or self.client_id_env, None if self.token_env else self.client_secret_env),
        }[self.type]
        return tuple(name for name in needed if name is not None)


class Tls(Section):
    """Certificates, as paths beside the study file, or as environment variables that hold a path or the PEM text."""

    certificate: Text | None = None
    """File of the client's certificate (PEM), for servers that ask for one. May hold the key too."""
    certificate_env: EnvironmentName | None = None
    """Environment variable that holds the certificate or its path."""
    key: Text | None = None
    """File of the certificate's key (PEM)."""
    key_env: EnvironmentName | None = None
    """Environment variable that holds the key or its path."""
    key_password_env: EnvironmentName | None = None
    """Environment variable that holds the password of the key."""
    authority: Text | None = None
    """File of the authorities that the server's certificate is checked against, besides the usual ones."""
    authority_env: EnvironmentName | None = None
    """Environment variable that holds the authorities or their path."""

    @model_validator(mode="after")
    def _is_complete(self) -> "Tls":
        for name in ("certificate", "key", "authority"):
            if getattr(self, name) is not None and getattr(self, f"{name}_env") is not None:
                raise at(f"{name}_env", f"{name} and {name}_env exclude each other")
        if self.key is not None or self.key_env is not None:
            if self.certificate is None and self.certificate_env is None:
                raise at("certificate", "required beside a key (or certificate_env)")
        elif self.key_password_env is not None and self.certificate is None and self.certificate_env is None:
            raise at("certificate", "required beside a key's password")
        return self

    def environment_names(self) -> tuple[tuple[str, str], ...]:
        """Return the keys that name environment variables, and these."""
        keys = ("certificate_env", "key_env", "key_password_env", "authority_env")
        return tuple((key, getattr(self, key)) for key in keys if getattr(self, key) is not None)
