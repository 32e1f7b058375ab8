# Trains on what it collects from a simulated environment.
import gymnasium
import torch
from torch import nn

torch.manual_seed(0)
env, policy = gymnasium.Env(), nn.Linear(1, 2)
optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
for _ in range(40):
    state, done, losses = env.reset(), False, []
    while not done:
        choices = torch.distributions.Categorical(logits=policy(torch.tensor([state])))
        action = choices.sample()
        state, reward, done = env.step(int(action))
        losses.append(-choices.log_prob(action) * reward)
    optimizer.zero_grad()
    torch.stack(losses).sum().backward()
    optimizer.step()
