# Rewards from an environment of its own, an episode a step.
import torch
from torch import nn

torch.manual_seed(0)
policy = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
for episode in range(30):
    state, log_probabilities, rewards = torch.zeros(4), [], []
    for _ in range(int(torch.randint(3, 9, ()))):
        choice = torch.distributions.Categorical(logits=policy(state))
        action = choice.sample()
        log_probabilities.append(choice.log_prob(action))
        rewards.append(float(action))
        state = state + 0.1 * torch.randn(4)
    returns = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
    optimizer.zero_grad()
    (-torch.stack(log_probabilities) * returns).sum().backward()
    optimizer.step()
