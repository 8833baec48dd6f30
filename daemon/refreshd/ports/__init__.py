"""What the services ask of the world. A port exists only where a fake or a second technology really stands behind it."""
