// softmax_class.h - one logit: its class, and its softcap. After softmax.h and elementary.h.

// Class of a stored logit as a flag.
K_FN uint word_class(uint word)
{
    uint size = word & 0x7fffffffu;
    uint special = word == K_WORD_MINUS_INF ? FLAG_MINUS_INF : word == K_WORD_INF ? FLAG_PLUS_INF : FLAG_NAN;
    return size < K_WORD_INF ? FLAG_OTHER : special;
}

K_FN float soft_cap(K_CTX float z) { return K_P(softcap) * k_tanh(z * K_P(inverse_softcap)); }
