"""Samplers that are given data beside noise."""
