"""People in the state: keys, service accounts, teams and organizations."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from mirror.sandbox.state.core import CoreState
from mirror.sandbox.state.people_records import ApiKeyRecord, Invite, OrganizationRecord, TeamRecord
from mirror.sandbox.state.records import UserRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.wire import typed_id


class PeopleShelf(CoreState):
    """The people of SandboxState."""

    # ------------------------------------------------------------------ keys

    def set_api_key(self, username: str, key: str, *, description: str | None = None) -> ApiKeyRecord:
        """Replace every key of the user by one."""
        with self.lock:
            user = self.accounts[username]
            for held in self.keys_of(user):
                self.remove_api_key(held.id)
            user.api_key = key
            return self.grant_key(user, key, description=description)

    def new_api_key(self, user: UserRecord, *, description: str | None = None) -> ApiKeyRecord:
        """One more key of 40 characters."""
        return self.grant_key(user, secrets.token_hex(20), description=description)

    def remove_api_key(self, key_id: str) -> bool:
        """Revoke a key by its id; False when there is none."""
        with self.lock:
            record = self.api_keys.pop(key_id, None)
            if record is not None:
                self.users.pop(record.key, None)
            return record is not None

    def keys_of(self, user: UserRecord) -> list[ApiKeyRecord]:
        return [held for held in self.api_keys.values() if held.user is user]

    # ------------------------------------------------------------------ accounts

    def remove_user(self, username: str) -> None:
        """Remove a user with the keys and memberships; the runs stay. Unknown names are ignored."""
        with self.lock:
            user = self.accounts.pop(username, None)
            if user is None:
                return
            for held in self.keys_of(user):
                self.remove_api_key(held.id)
            for team in self.teams.values():
                team.members.pop(username, None)
            for organization in self.organizations.values():
                organization.members.pop(username, None)

    def add_service_account(self, entity: str, description: str) -> UserRecord:
        """A service account of a team, with a key of its own."""
        with self.lock:
            name = f"service-{self.number()}"
            user = self.add_user(name, entity=entity, entities=(entity,))
            user.service, user.full_name = True, description
            if entity in self.teams:
                self.teams[entity].members[name] = "member"
            return user

    def account_by_id(self, user_id: str) -> UserRecord | None:
        return next((user for user in self.accounts.values() if user.id == user_id), None)

    # ------------------------------------------------------------------ teams and organizations

    def add_team(self, name: str, *, admin: str, organization: str | None = None) -> TeamRecord:
        """A team with one admin.

        Raises:
            RequestRefused: the name is taken.
            KeyError: there is no such organization or user.
        """
        with self.lock:
            if name in self.teams or name in self.accounts:
                raise RequestRefused("resource already exists", status=409)
            owner = self.organizations[organization] if organization is not None else None
            team = TeamRecord(id=self.entity_id(name), name=name, organization=owner)
            if owner is not None:
                owner.teams.append(team)
            self.teams[name] = team
            self.join_team(team, self.accounts[admin], "admin")
            return team

    def join_team(self, team: TeamRecord, user: UserRecord, role: str = "member") -> None:
        team.members[user.username] = role
        user.entities.add(team.name)

    def leave_team(self, team: TeamRecord, username: str) -> bool:
        """False when the user is no member."""
        left = team.members.pop(username, None) is not None
        if left and username in self.accounts:
            self.accounts[username].entities.discard(team.name)
        return left

    def invite(self, team: TeamRecord, *, email: str | None, username: str | None, role: str) -> Invite:
        """Invite by username or address; a known user is a member at once, as wandb's own clients see it."""
        user = self.accounts.get(username or "") or next(
            (held for held in self.accounts.values() if email and held.email == email), None
        )
        if user is None and not email:
            raise RequestRefused("user not found", status=404)
        if user is not None:
            if user.username in team.members:
                raise RequestRefused("user is already a member", status=409)
            self.join_team(team, user, role)
        invite = Invite(
            id=typed_id("Invite", self.number()),
            entity=team.name,
            email=user.email if user is not None else str(email),
            username=user.username if user is not None else None,
            created_at=self.now_text(),
        )
        self.invites[invite.id] = invite
        return invite

    def add_organization(self, name: str, *, members: Mapping[str, str]) -> OrganizationRecord:
        """An organization; `members` maps usernames to roles.

        Raises:
            RequestRefused: the name is taken.
        """
        with self.lock:
            if name in self.organizations:
                raise RequestRefused("resource already exists", status=409)
            made = OrganizationRecord(id=typed_id("Organization", self.number()), name=name, entity=f"{name}_org")
            self.organizations[name] = made
            for username, role in members.items():
                self.join_organization(made, username, role)
            return made

    def join_organization(self, organization: OrganizationRecord, username: str, role: str) -> None:
        """Make a user a member; KeyError when there is none of that name."""
        with self.lock:
            self.accounts[username].entities.add(organization.entity)
            organization.members[username] = role

    def organization(self, name: str) -> OrganizationRecord:
        """The organization; KeyError when there is none."""
        return self.organizations[name]

    def remove_organization(self, name: str) -> None:
        """Remove an organization with its teams and its registries. Unknown names are ignored."""
        with self.lock:
            organization = self.organizations.pop(name, None)
            for team in organization.teams if organization is not None else []:
                self.teams.pop(team.name, None)
            if organization is not None:
                for owner, project in [key for key in self.projects if key[0] == organization.entity]:
                    del self.projects[owner, project]

    def organization_of(self, entity: str) -> OrganizationRecord | None:
        """The organization that an entity belongs to, or is the entity of."""
        team = self.teams.get(entity)
        if team is not None:
            return team.organization
        return next((held for held in self.organizations.values() if held.entity == entity), None)

    def organizations_of(self, username: str) -> list[OrganizationRecord]:
        return [held for held in self.organizations.values() if username in held.members]
