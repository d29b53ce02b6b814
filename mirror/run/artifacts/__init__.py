"""Artifacts as the SDK has them: types, collections, versions, their files and logged objects."""
