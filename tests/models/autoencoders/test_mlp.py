"""A linear autoencoder is as good as PCA of the same size, by numpy's SVD; a deeper one may be better."""

import numpy as np
import torch

from tests.models.autoencoders.autoencoders import WIDTH, build


def test_a_linear_autoencoder_reaches_the_error_of_pca():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, WIDTH, generator=generator) @ torch.randn(WIDTH, WIDTH, generator=generator) + 5
    lengths = torch.ones(80, dtype=torch.int64)
    autoencoder = build("linear", latent_dim=2).train()
    autoencoder.fit([(x, lengths)])
    optimizer = torch.optim.LBFGS(autoencoder.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = autoencoder.losses(autoencoder(x, lengths), lengths)["loss"]
        value.backward()
        return value

    optimizer.step(loss)
    output = autoencoder(x, lengths)
    error, count = autoencoder.reconstruction_error(output, lengths)
    table = x.double().numpy()
    table = (table - table.mean(0)) / table.std(0)
    singular = np.linalg.svd(table, compute_uv=False)
    np.testing.assert_allclose(error.item(), (singular[2:] ** 2).sum(), rtol=1e-3)
    assert count == 80 * WIDTH
    variance, _ = autoencoder.mean_prediction_error(output, lengths)
    np.testing.assert_allclose(variance.item(), (singular**2).sum(), rtol=1e-4)


def test_shapes_are_mirrored():
    layers = build("mlp-deep").layers
    forth = [weight.shape for weight in layers.encoder.parameters() if weight.dim() == 2]
    back = [weight.shape for weight in layers.decoder.parameters() if weight.dim() == 2]
    assert forth == [(8, WIDTH), (5, 8)]
    assert back == [(8, 5), (WIDTH, 8)]


def test_the_embedding_of_features_is_their_code():
    autoencoder = build("mlp")
    output = autoencoder(torch.randn(4, WIDTH), torch.ones(4, dtype=torch.int64))
    assert autoencoder.embedding_dim == 3
    assert torch.equal(output.embedding, output.code[:, 0])
    assert torch.equal(output.own_codes(), output.embedding)
