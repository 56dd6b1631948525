// Focal loss (Lin et al., arXiv 1708.02002): (1 - p)^gamma n with p = e^-n; slope (1 - p)^gamma (1 + gamma p n / (1 - p)).
// term_a is gamma. log(1 - p) is -softplus(-t), exact where p is near 1 and where it is near 0; n / (1 - p) goes to 1
// where p goes to 1.
K_FN row_term term_focal(K_CTX row_state row)
{
    row_term r;
    float power = k_exp(k_clamp(-K_P(term_a) * k_softplus(-row.t)));
    float p = k_sigmoid(-row.t);
    float ratio = row.others > 1.0e-30f ? row.n / row.others : 1.0f;
    r.value = power >= 1.0f ? row.n : power * row.n;
    r.slope = power * (1.0f + K_P(term_a) * (p * ratio));
    return r;
}
