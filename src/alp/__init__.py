"""alp: stochastic latent purification."""
