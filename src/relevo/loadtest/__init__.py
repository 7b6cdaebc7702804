"""Load tests: a closed loop of users by Locust, an open loop at a fixed rate, and the search for a capacity.

What is asked is drawn from the service's contract. Nothing of the service itself is imported.
"""
