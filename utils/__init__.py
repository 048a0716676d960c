"""What the stages share: the ground floor, which knows nothing of the floors above."""
